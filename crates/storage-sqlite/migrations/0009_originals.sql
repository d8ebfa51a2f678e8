-- Bring-along: what endpoints, policies and consent records were called where they were brought from.

-- Not personal: their owner named them. As text, since they are shown wherever the row is.
ALTER TABLE endpoints ADD COLUMN original TEXT;
ALTER TABLE policies ADD COLUMN original TEXT;
-- A record's original id may say something about its person: its text lies sealed in the record's decisions alone, and
-- this says that it is there.
ALTER TABLE consents ADD COLUMN has_original INTEGER NOT NULL DEFAULT 0 CHECK (has_original = 0 OR has_original = 1);

-- How they are found by an original id: a keyed hash of kind and text. Only what was brought along has a row.
CREATE TABLE originals (
  organization INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind = 'endpoint' OR kind = 'policy' OR kind = 'consent'),
  blind BLOB NOT NULL,
  key INTEGER NOT NULL,
  PRIMARY KEY (organization, kind, blind)
) STRICT, WITHOUT ROWID;
-- One original each; and it goes with its person or its endpoint.
CREATE UNIQUE INDEX originals_by_key ON originals (key);
