"""What an assignment says of a whole group. Everything here is counted over one closed try a person; no figure carries a name."""
