-- Whom an import must not bring back: a keyed hash of the reference of each erased person, of a kind of its own, which finds
-- nothing else. What was recorded up to that time is left out.
CREATE TABLE suppressions (
  suppression INTEGER PRIMARY KEY,
  organization INTEGER NOT NULL,
  blind BLOB NOT NULL,
  erased_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX suppressions_by_blind ON suppressions (organization, blind);
