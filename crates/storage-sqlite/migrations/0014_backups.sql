-- Organizations whose keys were destroyed, for the journal of erasures: `entry` is drawn in one order with that of `erasures`.
-- Kept as long as their marks.
CREATE TABLE destroyed (
  entry INTEGER PRIMARY KEY,
  organization INTEGER NOT NULL UNIQUE,
  destroyed_at INTEGER NOT NULL
) STRICT;
INSERT INTO destroyed (entry, organization, destroyed_at)
  SELECT (SELECT max(entry) FROM audit
          WHERE audit.organization = organizations.organization AND action = 'organization.destroy_keys'),
         organization, deleted_at
  FROM organizations WHERE state = 'deleted';

-- When this store was restored from a backup, and from when that was. `restore` comes after every id that is known to have
-- been drawn before, those included that the backup does not have: what is drawn from then on is new, whatever the clock says.
CREATE TABLE restores (
  restore INTEGER PRIMARY KEY,
  taken_at INTEGER NOT NULL,
  restored_at INTEGER NOT NULL
) STRICT;
