"""The machinery of a feature store, usable from a notebook. Times are int64 microseconds, UTC.

keys      which entity a row is about, alone or as a tuple of columns
times     timestamps in any common form, as microseconds
order     rows sorted by key and time
pit       point-in-time joins: the value a model would have seen
windows   aggregates over the last W seconds, exact and by the cheaper windows that production uses
tiles     partial aggregates that merge; HyperLogLog for what does not
online    layouts of a key-value online store
in_process, read_cache  a store without a server; a cache in front of one
fan_out   the network between a process and a sharded store, simulated
duplicates  features that compute the same, found by their values
parity    is what was served what training would have computed
freshness how old may a feature be
definitions, registry  what a feature is, who owns, feeds, reads and pays for it
"""
