"""The database itself refuses to change or delete an audit entry. The links to a deleted person or cohort may become NULL."""

from django.db import migrations

TABLE = "cohorts_audit"
KEPT = (
    "id",
    "at",
    "role",
    "action",
    "object_type",
    "object_id",
    "before",
    "after",
    "reason",
    "request_id",
    "address",
)
LINKS = ("actor_id", "cohort_id")
SENTENCE = "An audit entry cannot be changed or deleted."


def _unchanged(same: str) -> str:
    """SQL that holds where an update touches nothing but links, and those only to unset them."""
    kept = [f'NEW."{name}" {same} OLD."{name}"' for name in KEPT]
    links = [f'(NEW."{name}" IS NULL OR NEW."{name}" {same} OLD."{name}")' for name in LINKS]
    return " AND ".join([*kept, *links])


SQLITE = (
    f"CREATE TRIGGER audit_no_update BEFORE UPDATE ON {TABLE} WHEN NOT ({_unchanged('IS')}) BEGIN SELECT RAISE(ABORT, '{SENTENCE}'); END",
    f"CREATE TRIGGER audit_no_delete BEFORE DELETE ON {TABLE} BEGIN SELECT RAISE(ABORT, '{SENTENCE}'); END",
)
POSTGRESQL = (
    f"""CREATE FUNCTION audit_is_final() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION '{SENTENCE}'; END $$ LANGUAGE plpgsql""",
    f"""CREATE TRIGGER audit_no_update BEFORE UPDATE ON {TABLE} FOR EACH ROW
        WHEN (NOT ({_unchanged("IS NOT DISTINCT FROM")})) EXECUTE FUNCTION audit_is_final()""",
    f"CREATE TRIGGER audit_no_delete BEFORE DELETE ON {TABLE} FOR EACH ROW EXECUTE FUNCTION audit_is_final()",
)
SQLITE_DROP = ("DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete")
POSTGRESQL_DROP = (
    f"DROP TRIGGER audit_no_update ON {TABLE}",
    f"DROP TRIGGER audit_no_delete ON {TABLE}",
    "DROP FUNCTION audit_is_final()",
)


def create(apps, schema_editor):
    for statement in {"sqlite": SQLITE, "postgresql": POSTGRESQL}[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


def drop(apps, schema_editor):
    for statement in {"sqlite": SQLITE_DROP, "postgresql": POSTGRESQL_DROP}[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("cohorts", "0001_initial")]
    operations = [migrations.RunPython(create, drop)]
