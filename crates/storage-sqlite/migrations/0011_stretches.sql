-- Where deliveries of an owner (an endpoint or an organization: no key is used twice) stand in the key order of all: from
-- `first` to `last`, with few rows of others between any two of them. Written in batches by housekeeping, never with a
-- delivery; lists go by it.
CREATE TABLE delivery_stretches (
  owner INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  PRIMARY KEY (owner, first)
) STRICT, WITHOUT ROWID;

-- Up to which delivery stretches are noted.
CREATE TABLE noted_stretches (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  through INTEGER NOT NULL
) STRICT;
INSERT INTO noted_stretches (only_row, through) VALUES (1, 0);

-- A kept answer is sealed under a key drawn for it, of which each person that it is about has a share, sealed under theirs:
-- whoever is erased takes it with them, wherever a copy of it lies. An answer from before has no shares.
ALTER TABLE idempotency_about ADD COLUMN share BLOB;
