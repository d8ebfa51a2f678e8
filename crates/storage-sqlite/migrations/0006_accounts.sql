-- What organizations are called and want, how long keys live and when they were last used, and the feeds' epoch.

-- What people are shown instead of the `uri`.
ALTER TABLE organizations ADD COLUMN name TEXT;
-- Whether a decision for a purpose that nobody created is refused.
ALTER TABLE organizations ADD COLUMN strict_purposes INTEGER NOT NULL DEFAULT 0 CHECK (strict_purposes IN (0, 1));

-- From then on the key opens nothing.
ALTER TABLE api_keys ADD COLUMN expires_at INTEGER;
-- To the minute; written at most once a minute.
ALTER TABLE api_keys ADD COLUMN last_used_at INTEGER;

-- One row: a random number, drawn when the database is first opened and again when it is restored from a backup. A
-- feed's cursors name it, so that none is followed into a history that it did not come from.
CREATE TABLE feed_epoch (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  epoch INTEGER NOT NULL
) STRICT;

-- Purposes in the order of their creation; a purpose is written once and then only read.
CREATE INDEX purposes_of ON purposes (organization, purpose);
