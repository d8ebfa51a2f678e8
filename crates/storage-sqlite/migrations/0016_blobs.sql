-- Bytes too large for a row. Their sealed parts lie in files beside the database, each durable before the row says `whole`;
-- the row goes after them.
CREATE TABLE blobs (
  blob INTEGER PRIMARY KEY,
  organization INTEGER NOT NULL,
  -- Whom it is about; without one it is the organization's.
  subject INTEGER,
  -- Being written; there to be named and read; without its key, and to be removed.
  state TEXT NOT NULL CHECK (state = 'open' OR state = 'whole' OR state = 'going'),
  -- Wrapped by the subject's key, or the organization's.
  wrapped_key BLOB,
  created_at INTEGER NOT NULL,
  -- Parts that are there.
  chunks INTEGER NOT NULL DEFAULT 0,
  -- Of a whole one, in bytes.
  length INTEGER,
  -- Sealed under the blob's key.
  sha256 BLOB,
  expires_at INTEGER,
  -- When it is removed, unless something happens before: a part comes, a row names it.
  sweep_at INTEGER,
  CHECK ((wrapped_key IS NULL) = (state = 'going')),
  CHECK (state != 'whole' OR (length IS NOT NULL AND sha256 IS NOT NULL))
) STRICT;
CREATE INDEX blobs_of ON blobs (organization, blob);
CREATE INDEX blobs_about ON blobs (subject) WHERE subject IS NOT NULL;
CREATE INDEX blobs_to_sweep ON blobs (sweep_at) WHERE sweep_at IS NOT NULL;

-- The rows that name a blob.
CREATE TABLE blob_holders (
  blob INTEGER NOT NULL,
  holder TEXT NOT NULL,
  holder_row INTEGER NOT NULL,
  PRIMARY KEY (blob, holder, holder_row)
) STRICT, WITHOUT ROWID;

-- While one of these lasts, no part of any blob is removed: somebody copies them.
CREATE TABLE deletion_pauses (
  pause INTEGER PRIMARY KEY,
  until INTEGER NOT NULL
) STRICT;
