-- The skeleton: organizations, people, the consent ledger, events, endpoints, deliveries.
-- Keys are time-ordered integers drawn by the process and never used twice. Instants are milliseconds.
-- Names are allowed by OR, not by IN: SQLite builds a temporary table for a list of three or more at each write.

CREATE TABLE organizations (
  organization INTEGER PRIMARY KEY,
  uri TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  master_id TEXT NOT NULL,
  wrapped_key BLOB NOT NULL,
  wrapped_index_key BLOB NOT NULL,
  endpoint_set_version INTEGER NOT NULL DEFAULT 1
) STRICT;

-- Proves at each start that a key of the key file is the one that wrapped something here.
CREATE TABLE master_keys (
  master_id TEXT PRIMARY KEY,
  check_value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
  api_key INTEGER PRIMARY KEY,
  organization INTEGER NOT NULL REFERENCES organizations,
  name TEXT NOT NULL,
  scopes TEXT NOT NULL,
  secret_hash BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  revoked_at INTEGER
) STRICT;
CREATE INDEX api_keys_of ON api_keys (organization);

-- Clustered by organization, so that one organization's log reads in order without an index.
CREATE TABLE audit (
  organization INTEGER NOT NULL,
  entry INTEGER NOT NULL,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  object TEXT NOT NULL,
  PRIMARY KEY (organization, entry)
) STRICT, WITHOUT ROWID;

-- An erased person keeps the row, as a mark, without the key.
CREATE TABLE subjects (
  subject INTEGER PRIMARY KEY,
  organization INTEGER NOT NULL,
  wrapped_key BLOB,
  erased_at INTEGER
) STRICT;

-- What people are known by, and how they are found: a keyed hash per identifier, another one for each kind. Hashes come
-- in no order; so only the narrow index has them first, and what is sealed lies where its person's row does.
CREATE TABLE identifiers (
  subject INTEGER NOT NULL,
  blind BLOB NOT NULL,
  organization INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind = 'reference' OR kind = 'email'),
  sealed BLOB NOT NULL,
  PRIMARY KEY (subject, blind)
) STRICT, WITHOUT ROWID;
CREATE INDEX identifiers_by_blind ON identifiers (organization, blind);

CREATE TABLE erasures (
  erasure INTEGER PRIMARY KEY,
  organization INTEGER NOT NULL,
  subject INTEGER NOT NULL,
  erased_at INTEGER NOT NULL
) STRICT;

CREATE TABLE purposes (
  purpose INTEGER PRIMARY KEY,
  organization INTEGER NOT NULL,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  UNIQUE (organization, name)
) STRICT;

CREATE TABLE policies (
  policy INTEGER PRIMARY KEY,
  organization INTEGER NOT NULL,
  policy_type TEXT NOT NULL,
  version TEXT NOT NULL,
  title TEXT NOT NULL,
  content TEXT NOT NULL,
  content_hash TEXT NOT NULL,
  effective_date INTEGER NOT NULL,
  is_active INTEGER NOT NULL CHECK (is_active IN (0, 1)),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX policies_named ON policies (organization, policy_type, version)
  WHERE deleted_at IS NULL;

-- One per (subject, purpose): where it stands. What is shown stands with the decision.
CREATE TABLE consents (
  consent INTEGER PRIMARY KEY,
  organization INTEGER NOT NULL,
  subject INTEGER NOT NULL,
  purpose INTEGER NOT NULL,
  version INTEGER NOT NULL,
  latest INTEGER NOT NULL,
  -- The newest decision that can be in force now or later; `next_candidate` leads on from it.
  candidate INTEGER,
  in_force INTEGER,
  state TEXT CHECK (state = 'GRANTED' OR state = 'DENIED' OR state = 'PENDING' OR state = 'CLAIMED'
    OR state = 'OBJECTED' OR state = 'OBJECTION_UPHELD'),
  obtained_at INTEGER,
  valid_from INTEGER,
  valid_until INTEGER,
  next_change_at INTEGER,
  announced INTEGER NOT NULL CHECK (announced IN (0, 1)),
  withdrawn_at INTEGER,
  created_at INTEGER NOT NULL,
  last_signed_at INTEGER NOT NULL DEFAULT 0,
  UNIQUE (subject, purpose)
) STRICT;
CREATE INDEX consents_changing ON consents (next_change_at) WHERE next_change_at IS NOT NULL;

-- Immutable. `previous` chains a record's decisions, newest first. `next_candidate` chains those that could be in force at
-- some time when this one was recorded.
CREATE TABLE decisions (
  decision INTEGER PRIMARY KEY,
  organization INTEGER NOT NULL,
  consent INTEGER NOT NULL,
  subject INTEGER NOT NULL,
  policy INTEGER,
  basis TEXT NOT NULL CHECK (basis = 'consent' OR basis = 'legitimate_interest' OR basis = 'contract'
    OR basis = 'public_interest' OR basis = 'vital_interest' OR basis = 'legal_obligation'),
  state TEXT NOT NULL CHECK (state = 'GRANTED' OR state = 'DENIED' OR state = 'PENDING' OR state = 'CLAIMED'
    OR state = 'OBJECTED' OR state = 'OBJECTION_UPHELD'),
  obtained_at INTEGER NOT NULL,
  recorded_at INTEGER NOT NULL,
  valid_from INTEGER,
  valid_until INTEGER,
  previous INTEGER,
  next_candidate INTEGER,
  recorded_by TEXT NOT NULL,
  -- Its number in the organization's feed, without gaps: the one writer gives it as it inserts.
  log_index INTEGER NOT NULL,
  sealed BLOB NOT NULL,
  commitment BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX decisions_feed ON decisions (organization, log_index);

-- An event about a person's consent lies sealed in the decision that it shows; `version`, `state` and `withdrawn_at` say
-- how the record stood when it happened. `sealed` holds an event about nobody, under the organization's key. A batch has
-- its parts in `event_parts`. A test that somebody sent tells of nobody and stands in no feed: it has no number.
CREATE TABLE events (
  event INTEGER PRIMARY KEY,
  organization INTEGER NOT NULL,
  kind TEXT NOT NULL,
  subject INTEGER,
  created_at INTEGER NOT NULL,
  render_version INTEGER NOT NULL,
  batch INTEGER,
  -- As of decisions.
  log_index INTEGER,
  consent INTEGER,
  decision INTEGER,
  version INTEGER,
  state TEXT,
  withdrawn_at INTEGER,
  sealed BLOB
) STRICT;
CREATE UNIQUE INDEX events_feed ON events (organization, log_index);

CREATE TABLE event_parts (
  event INTEGER NOT NULL,
  position INTEGER NOT NULL,
  subject INTEGER NOT NULL,
  consent INTEGER NOT NULL,
  decision INTEGER NOT NULL,
  version INTEGER NOT NULL,
  state TEXT,
  withdrawn_at INTEGER,
  PRIMARY KEY (event, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE endpoints (
  endpoint INTEGER PRIMARY KEY,
  organization INTEGER NOT NULL,
  dialect TEXT NOT NULL,
  url TEXT NOT NULL,
  events TEXT NOT NULL,
  description TEXT,
  state TEXT NOT NULL CHECK (state = 'active' OR state = 'paused' OR state = 'gone' OR state = 'deleted'),
  source TEXT NOT NULL CHECK (source = 'snapshot' OR source = 'latest' OR source = 'lane'),
  queue_while_stopped INTEGER NOT NULL CHECK (queue_while_stopped IN (0, 1)),
  hold_waiting INTEGER NOT NULL CHECK (hold_waiting IN (0, 1)),
  version INTEGER NOT NULL,
  cancelled_through INTEGER NOT NULL DEFAULT 0,
  -- How Abide proves itself there, sealed, and what may be shown of that.
  auth BLOB,
  auth_shown TEXT,
  -- The owner's own values in place of the dialect's.
  retry_delays TEXT,
  deadline_seconds INTEGER,
  replaced_secret_until INTEGER,
  changed INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX endpoints_of ON endpoints (organization, endpoint);
CREATE INDEX endpoints_changed ON endpoints (changed);

-- Signing secrets. The newest has no end; those it replaced go on signing beside it until theirs.
CREATE TABLE endpoint_secrets (
  secret INTEGER PRIMARY KEY,
  endpoint INTEGER NOT NULL,
  sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  live_until INTEGER
) STRICT;
CREATE INDEX endpoint_secrets_of ON endpoint_secrets (endpoint);

-- Deliveries of an event have the keys right after the event's. Hot rows stand in no index but the key.
CREATE TABLE deliveries (
  delivery INTEGER PRIMARY KEY,
  organization INTEGER NOT NULL,
  event INTEGER NOT NULL,
  endpoint INTEGER NOT NULL,
  subject INTEGER,
  state TEXT NOT NULL CHECK (state = 'hot' OR state = 'pending' OR state = 'claimed' OR state = 'parked'
    OR state = 'held' OR state = 'delivered' OR state = 'skipped' OR state = 'failed' OR state = 'cancelled'
    OR state = 'superseded' OR state = 'erased' OR state = 'discarded'),
  lease INTEGER CHECK ((lease IS NOT NULL) = (state IN ('hot', 'claimed'))),
  due_at INTEGER CHECK ((due_at IS NOT NULL) = (state IN ('pending', 'parked'))),
  run TEXT NOT NULL DEFAULT 'first' CHECK (run = 'first' OR run = 'single' OR run = 'series' OR run = 'test'),
  attempts INTEGER NOT NULL DEFAULT 0,
  attempts_in_run INTEGER NOT NULL DEFAULT 0,
  -- Drawn when somebody asked for another run: only a line that an endpoint drew later cancels it.
  asked INTEGER NOT NULL DEFAULT 0,
  -- Whether it was made later than its event, to send a lane's state once more.
  repeats INTEGER NOT NULL DEFAULT 0 CHECK (repeats IN (0, 1)),
  reason TEXT,
  superseded_by INTEGER CHECK ((superseded_by IS NOT NULL) = (state = 'superseded'))
) STRICT;
CREATE INDEX deliveries_repeating ON deliveries (event) WHERE repeats = 1;
CREATE INDEX deliveries_due ON deliveries (due_at, endpoint) WHERE state = 'pending';
CREATE INDEX deliveries_claimed ON deliveries (lease) WHERE state = 'claimed';
CREATE INDEX deliveries_parked ON deliveries (endpoint, due_at) WHERE state = 'parked';
CREATE INDEX deliveries_held ON deliveries (endpoint) WHERE state = 'held';
CREATE INDEX deliveries_waiting_for ON deliveries (subject)
  WHERE subject IS NOT NULL AND (state = 'pending' OR state = 'claimed' OR state = 'parked' OR state = 'held');

-- An attempt's id is delivery, number and lease: a lost one and its successor never collide.
CREATE TABLE attempts (
  delivery INTEGER NOT NULL,
  number INTEGER NOT NULL,
  lease INTEGER NOT NULL,
  started_at INTEGER NOT NULL,
  signed_at INTEGER,
  duration_millis INTEGER,
  ending TEXT CHECK (ending = 'answered' OR ending = 'not_sent' OR ending = 'unknown'),
  trigger TEXT NOT NULL CHECK (trigger IN ('schedule', 'manual')),
  token BLOB,
  body_sha256 BLOB,
  body_length INTEGER,
  object_version INTEGER NOT NULL,
  endpoint_version INTEGER,
  status INTEGER,
  error TEXT,
  answer BLOB,
  late INTEGER NOT NULL DEFAULT 0 CHECK (late IN (0, 1)),
  PRIMARY KEY (delivery, number, lease)
) STRICT, WITHOUT ROWID;

-- What must not overtake itself, per (endpoint, subject).
CREATE TABLE lanes (
  endpoint INTEGER NOT NULL,
  subject INTEGER NOT NULL,
  wanted INTEGER NOT NULL,
  acknowledged INTEGER NOT NULL,
  unsure INTEGER NOT NULL CHECK (unsure IN (0, 1)),
  -- The open attempt: delivery, lease and number say which.
  open_delivery INTEGER,
  open_lease INTEGER,
  open_number INTEGER,
  open_version INTEGER,
  open_doubted INTEGER CHECK (open_doubted = 0 OR open_doubted = 1),
  open_ends_by INTEGER,
  last_sent_at INTEGER NOT NULL,
  waiting INTEGER,
  event INTEGER NOT NULL,
  PRIMARY KEY (endpoint, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX lanes_of ON lanes (subject);

-- Hot rows of a lease have keys above its own, up to `last_key` once that is known.
CREATE TABLE leases (
  lease INTEGER PRIMARY KEY,
  holder INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  heartbeat_at INTEGER NOT NULL,
  last_key INTEGER
) STRICT;
