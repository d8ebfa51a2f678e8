-- The people who sign in to the dashboard, their sessions, and the offer to become an organization's first owner.
-- Addresses, names and browsers are sealed under the organization's key; of tokens there are hashes alone.

CREATE TABLE users (
  user_id INTEGER PRIMARY KEY,
  organization INTEGER NOT NULL REFERENCES organizations,
  blind BLOB NOT NULL,
  sealed_email BLOB NOT NULL,
  sealed_name BLOB NOT NULL,
  role TEXT NOT NULL CHECK (role = 'owner' OR role = 'privacy_officer' OR role = 'developer' OR role = 'read_only'),
  state TEXT NOT NULL CHECK (state = 'invited' OR state = 'active' OR state = 'disabled'),
  password TEXT CHECK (password IS NOT NULL OR state <> 'active'),
  created_at INTEGER NOT NULL,
  last_sign_in_at INTEGER,
  link_hash BLOB CHECK (link_hash IS NULL OR state <> 'disabled'),
  link_expires_at INTEGER CHECK ((link_hash IS NULL) = (link_expires_at IS NULL)),
  UNIQUE (organization, blind)
) STRICT;
CREATE INDEX users_of ON users (organization, user_id);

CREATE TABLE sessions (
  session INTEGER PRIMARY KEY,
  user_id INTEGER NOT NULL REFERENCES users,
  organization INTEGER NOT NULL,
  secret_hash BLOB NOT NULL,
  sealed_browser BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  last_seen_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_of ON sessions (user_id, session);

CREATE TABLE owner_offers (
  organization INTEGER PRIMARY KEY,
  link_hash BLOB NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;
