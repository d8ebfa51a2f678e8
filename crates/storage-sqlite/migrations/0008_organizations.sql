-- Deleting organizations. One that is being deleted goes at `deletes_at`; a deleted one keeps its row as a mark, without
-- keys, and its `uri` is free: the row's own is its id, and what it was called stands in `former_uri`. Where everything is
-- gone but the mark, `emptied_at` says since when.
ALTER TABLE organizations ADD COLUMN state TEXT NOT NULL DEFAULT 'active'
  CHECK (state = 'active' OR state = 'deleting' OR state = 'deleted');
ALTER TABLE organizations ADD COLUMN deletes_at INTEGER;
ALTER TABLE organizations ADD COLUMN deleted_at INTEGER;
ALTER TABLE organizations ADD COLUMN former_uri TEXT;
ALTER TABLE organizations ADD COLUMN emptied_at INTEGER;
CREATE INDEX organizations_leaving ON organizations (deletes_at) WHERE deletes_at IS NOT NULL AND emptied_at IS NULL;

-- An endpoint of an organization that is being deleted: nothing is sent there, whatever its own state.
ALTER TABLE endpoints ADD COLUMN suspended INTEGER NOT NULL DEFAULT 0 CHECK (suspended = 0 OR suspended = 1);
