-- The whole of it. What each table and column is for stands in the embedded database's migrations, where it is not said
-- here: the statements are the same. Keys are time-ordered integers drawn by the nodes and never used twice; so the tables that
-- are partitioned by key are partitioned by time. Instants are milliseconds, flags are 0 and 1. Text that stands in an index has
-- the C collation: another one can change its order with the machine's libraries, under an index that is built on it.

CREATE TABLE organizations (
  organization BIGINT PRIMARY KEY,
  uri TEXT COLLATE "C" NOT NULL UNIQUE,
  created_at BIGINT NOT NULL,
  master_id TEXT NOT NULL,
  wrapped_key BYTEA NOT NULL,
  wrapped_index_key BYTEA NOT NULL,
  endpoint_set_version BIGINT NOT NULL DEFAULT 1,
  name TEXT,
  strict_purposes BIGINT NOT NULL DEFAULT 0 CHECK (strict_purposes IN (0, 1)),
  state TEXT NOT NULL DEFAULT 'active'
  CHECK (state = 'active' OR state = 'deleting' OR state = 'deleted'),
  deletes_at BIGINT,
  deleted_at BIGINT,
  former_uri TEXT,
  emptied_at BIGINT
);

CREATE TABLE master_keys (
  master_id TEXT COLLATE "C" PRIMARY KEY,
  check_value BYTEA NOT NULL
);

CREATE TABLE api_keys (
  api_key BIGINT PRIMARY KEY,
  organization BIGINT NOT NULL REFERENCES organizations,
  name TEXT NOT NULL,
  scopes TEXT NOT NULL,
  secret_hash BYTEA NOT NULL,
  created_at BIGINT NOT NULL,
  revoked_at BIGINT,
  expires_at BIGINT,
  last_used_at BIGINT,
  rate_limit BIGINT NOT NULL DEFAULT 1000000 CHECK (rate_limit > 0)
);

CREATE TABLE audit (
  organization BIGINT NOT NULL,
  entry BIGINT NOT NULL,
  at BIGINT NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  object TEXT NOT NULL,
  PRIMARY KEY (organization, entry)
);

CREATE TABLE subjects (
  subject BIGINT PRIMARY KEY,
  organization BIGINT NOT NULL,
  wrapped_key BYTEA,
  erased_at BIGINT
);

CREATE TABLE identifiers (
  subject BIGINT NOT NULL,
  blind BYTEA NOT NULL,
  organization BIGINT NOT NULL,
  kind TEXT NOT NULL CHECK (kind = 'reference' OR kind = 'email'),
  sealed BYTEA NOT NULL,
  PRIMARY KEY (subject, blind)
);

CREATE TABLE erasures (
  erasure BIGINT PRIMARY KEY,
  organization BIGINT NOT NULL,
  subject BIGINT NOT NULL,
  erased_at BIGINT NOT NULL
);

CREATE TABLE purposes (
  purpose BIGINT PRIMARY KEY,
  organization BIGINT NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (organization, name)
);

CREATE TABLE policies (
  policy BIGINT PRIMARY KEY,
  organization BIGINT NOT NULL,
  policy_type TEXT COLLATE "C" NOT NULL,
  version TEXT COLLATE "C" NOT NULL,
  title TEXT NOT NULL,
  content TEXT NOT NULL,
  content_hash TEXT NOT NULL,
  effective_date BIGINT NOT NULL,
  is_active BIGINT NOT NULL CHECK (is_active IN (0, 1)),
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  deleted_at BIGINT,
  original TEXT
);

CREATE TABLE consents (
  consent BIGINT PRIMARY KEY,
  organization BIGINT NOT NULL,
  subject BIGINT NOT NULL,
  purpose BIGINT NOT NULL,
  version BIGINT NOT NULL,
  latest BIGINT NOT NULL,
  -- The newest decision that can be in force now or later; `next_candidate` leads on from it.
  candidate BIGINT,
  in_force BIGINT,
  state TEXT CHECK (state = 'GRANTED' OR state = 'DENIED' OR state = 'PENDING' OR state = 'CLAIMED'
    OR state = 'OBJECTED' OR state = 'OBJECTION_UPHELD'),
  obtained_at BIGINT,
  valid_from BIGINT,
  valid_until BIGINT,
  next_change_at BIGINT,
  announced BIGINT NOT NULL CHECK (announced IN (0, 1)),
  withdrawn_at BIGINT,
  created_at BIGINT NOT NULL,
  last_signed_at BIGINT NOT NULL DEFAULT 0,
  has_original BIGINT NOT NULL DEFAULT 0 CHECK (has_original = 0 OR has_original = 1),
  UNIQUE (subject, purpose)
);

CREATE TABLE decisions (
  decision BIGINT PRIMARY KEY,
  organization BIGINT NOT NULL,
  consent BIGINT NOT NULL,
  subject BIGINT NOT NULL,
  policy BIGINT,
  basis TEXT NOT NULL CHECK (basis = 'consent' OR basis = 'legitimate_interest' OR basis = 'contract'
    OR basis = 'public_interest' OR basis = 'vital_interest' OR basis = 'legal_obligation'),
  state TEXT NOT NULL CHECK (state = 'GRANTED' OR state = 'DENIED' OR state = 'PENDING' OR state = 'CLAIMED'
    OR state = 'OBJECTED' OR state = 'OBJECTION_UPHELD'),
  obtained_at BIGINT NOT NULL,
  recorded_at BIGINT NOT NULL,
  valid_from BIGINT,
  valid_until BIGINT,
  previous BIGINT,
  next_candidate BIGINT,
  recorded_by TEXT NOT NULL,
  -- 0: the feed has the number.
  log_index BIGINT NOT NULL,
  sealed BYTEA NOT NULL,
  commitment BYTEA NOT NULL
);

CREATE TABLE events (
  event BIGINT PRIMARY KEY,
  organization BIGINT NOT NULL,
  kind TEXT NOT NULL,
  subject BIGINT,
  created_at BIGINT NOT NULL,
  render_version BIGINT NOT NULL,
  batch BIGINT,
  -- As of decisions; null for what was made up for a test and stands in no feed.
  log_index BIGINT,
  consent BIGINT,
  decision BIGINT,
  version BIGINT,
  state TEXT,
  withdrawn_at BIGINT,
  sealed BYTEA
) PARTITION BY RANGE (event);

CREATE TABLE event_parts (
  event BIGINT NOT NULL,
  position BIGINT NOT NULL,
  subject BIGINT NOT NULL,
  consent BIGINT NOT NULL,
  decision BIGINT NOT NULL,
  version BIGINT NOT NULL,
  state TEXT,
  withdrawn_at BIGINT,
  PRIMARY KEY (event, position)
);

CREATE TABLE endpoints (
  endpoint BIGINT PRIMARY KEY,
  organization BIGINT NOT NULL,
  dialect TEXT NOT NULL,
  url TEXT NOT NULL,
  events TEXT NOT NULL,
  description TEXT,
  state TEXT NOT NULL CHECK (state = 'active' OR state = 'paused' OR state = 'gone' OR state = 'deleted'),
  source TEXT NOT NULL CHECK (source = 'snapshot' OR source = 'latest' OR source = 'lane'),
  queue_while_stopped BIGINT NOT NULL CHECK (queue_while_stopped IN (0, 1)),
  hold_waiting BIGINT NOT NULL CHECK (hold_waiting IN (0, 1)),
  version BIGINT NOT NULL,
  cancelled_through BIGINT NOT NULL DEFAULT 0,
  -- How Abide proves itself there, sealed, and what may be shown of that.
  auth BYTEA,
  auth_shown TEXT,
  -- The owner's own values in place of the dialect's.
  retry_delays TEXT,
  deadline_seconds BIGINT,
  replaced_secret_until BIGINT,
  changed BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  gone_at BIGINT,
  suspended BIGINT NOT NULL DEFAULT 0 CHECK (suspended = 0 OR suspended = 1),
  original TEXT,
  judged_from BIGINT NOT NULL DEFAULT 0,
  failing_since BIGINT,
  stops_at BIGINT,
  stopped_at BIGINT
);

CREATE TABLE endpoint_secrets (
  secret BIGINT PRIMARY KEY,
  endpoint BIGINT NOT NULL,
  sealed BYTEA NOT NULL,
  created_at BIGINT NOT NULL,
  live_until BIGINT
);

CREATE TABLE deliveries (
  delivery BIGINT PRIMARY KEY,
  organization BIGINT NOT NULL,
  event BIGINT NOT NULL,
  endpoint BIGINT NOT NULL,
  subject BIGINT,
  state TEXT COLLATE "C" NOT NULL CHECK (state = 'hot' OR state = 'pending' OR state = 'claimed' OR state = 'parked'
    OR state = 'held' OR state = 'delivered' OR state = 'skipped' OR state = 'failed' OR state = 'cancelled'
    OR state = 'superseded' OR state = 'erased' OR state = 'discarded'),
  lease BIGINT CHECK ((lease IS NOT NULL) = (state IN ('hot', 'claimed'))),
  due_at BIGINT CHECK ((due_at IS NOT NULL) = (state IN ('pending', 'parked'))),
  run TEXT NOT NULL DEFAULT 'first' CHECK (run = 'first' OR run = 'single' OR run = 'series' OR run = 'test'),
  attempts BIGINT NOT NULL DEFAULT 0,
  attempts_in_run BIGINT NOT NULL DEFAULT 0,
  -- Drawn when somebody asked for another run: only a line that an endpoint drew later cancels it.
  asked BIGINT NOT NULL DEFAULT 0,
  -- Whether it was made later than its event, to send a lane's state once more.
  repeats BIGINT NOT NULL DEFAULT 0 CHECK (repeats IN (0, 1)),
  reason TEXT,
  superseded_by BIGINT CHECK ((superseded_by IS NOT NULL) = (state = 'superseded'))
);

CREATE TABLE attempts (
  delivery BIGINT NOT NULL,
  number BIGINT NOT NULL,
  lease BIGINT NOT NULL,
  started_at BIGINT NOT NULL,
  signed_at BIGINT,
  duration_millis BIGINT,
  ending TEXT CHECK (ending = 'answered' OR ending = 'not_sent' OR ending = 'unknown'),
  trigger TEXT NOT NULL CHECK (trigger IN ('schedule', 'manual')),
  token BYTEA,
  body_sha256 BYTEA,
  body_length BIGINT,
  object_version BIGINT NOT NULL,
  endpoint_version BIGINT,
  status BIGINT,
  error TEXT,
  answer BYTEA,
  late BIGINT NOT NULL DEFAULT 0 CHECK (late IN (0, 1)),
  PRIMARY KEY (delivery, number, lease)
) PARTITION BY RANGE (delivery);

CREATE TABLE lanes (
  endpoint BIGINT NOT NULL,
  subject BIGINT NOT NULL,
  wanted BIGINT NOT NULL,
  acknowledged BIGINT NOT NULL,
  unsure BIGINT NOT NULL CHECK (unsure IN (0, 1)),
  -- The open attempt: delivery, lease and number say which.
  open_delivery BIGINT,
  open_lease BIGINT,
  open_number BIGINT,
  open_version BIGINT,
  open_doubted BIGINT CHECK (open_doubted = 0 OR open_doubted = 1),
  open_ends_by BIGINT,
  last_sent_at BIGINT NOT NULL,
  waiting BIGINT,
  event BIGINT NOT NULL,
  PRIMARY KEY (endpoint, subject)
);

CREATE TABLE leases (
  lease BIGINT PRIMARY KEY,
  holder BIGINT NOT NULL,
  epoch BIGINT NOT NULL,
  heartbeat_at BIGINT NOT NULL,
  last_key BIGINT,
  -- Whoever relies on a lease keeps its holder from changing, and not its heartbeat.
  UNIQUE (lease, holder)
);
-- The lease of the chores, which are done once over all nodes: it covers no rows, and nobody holds it yet.
INSERT INTO leases (lease, holder, epoch, heartbeat_at) VALUES (0, 0, 0, 0);

-- Who works on this database, each under a number that the keys it draws end in.
CREATE TABLE nodes (
  node BIGINT PRIMARY KEY CHECK (node >= 0 AND node < 1024),
  holder BIGINT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  role TEXT NOT NULL,
  version TEXT NOT NULL,
  started_at BIGINT NOT NULL,
  heartbeat_at BIGINT NOT NULL
);

-- The one clock that all nodes go by (I15). Its argument is what a caller would take for the time where there is one node.
CREATE FUNCTION database_time(BIGINT) RETURNS BIGINT LANGUAGE SQL VOLATILE AS
  'SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT)';

CREATE TABLE idempotency (
  call BIGINT PRIMARY KEY,
  organization BIGINT NOT NULL,
  key BYTEA NOT NULL,
  request BYTEA NOT NULL,
  called_at BIGINT NOT NULL,
  answer BYTEA,
  UNIQUE (organization, key)
);

CREATE TABLE idempotency_about (
  call BIGINT NOT NULL,
  subject BIGINT NOT NULL,
  share BYTEA,
  PRIMARY KEY (call, subject)
);

CREATE TABLE users (
  user_id BIGINT PRIMARY KEY,
  organization BIGINT NOT NULL REFERENCES organizations,
  blind BYTEA NOT NULL,
  sealed_email BYTEA NOT NULL,
  sealed_name BYTEA NOT NULL,
  role TEXT NOT NULL CHECK (role = 'owner' OR role = 'privacy_officer' OR role = 'developer' OR role = 'read_only'),
  state TEXT NOT NULL CHECK (state = 'invited' OR state = 'active' OR state = 'disabled'),
  password TEXT CHECK (password IS NOT NULL OR state <> 'active'),
  created_at BIGINT NOT NULL,
  last_sign_in_at BIGINT,
  link_hash BYTEA CHECK (link_hash IS NULL OR state <> 'disabled'),
  link_expires_at BIGINT CHECK ((link_hash IS NULL) = (link_expires_at IS NULL)),
  UNIQUE (organization, blind)
);

CREATE TABLE sessions (
  session BIGINT PRIMARY KEY,
  user_id BIGINT NOT NULL REFERENCES users,
  organization BIGINT NOT NULL,
  secret_hash BYTEA NOT NULL,
  sealed_browser BYTEA NOT NULL,
  created_at BIGINT NOT NULL,
  last_seen_at BIGINT NOT NULL
);

CREATE TABLE owner_offers (
  organization BIGINT PRIMARY KEY,
  link_hash BYTEA NOT NULL,
  expires_at BIGINT NOT NULL
);

CREATE TABLE counts (
  owner BIGINT NOT NULL,
  bucket BIGINT NOT NULL,
  -- Length in milliseconds; buckets are folded into days.
  width BIGINT NOT NULL,
  attempts_successful BIGINT NOT NULL,
  attempts_failed BIGINT NOT NULL,
  successful BIGINT NOT NULL,
  failed BIGINT NOT NULL,
  successful_now BIGINT NOT NULL,
  failed_now BIGINT NOT NULL,
  last_attempt_at BIGINT,
  attempts_blameless BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (owner, bucket)
);

CREATE TABLE asks (
  delivery BIGINT NOT NULL,
  ask BIGINT NOT NULL,
  what TEXT NOT NULL CHECK (what = 'single' OR what = 'series' OR what = 'replay' OR what = 'discard'),
  next_number BIGINT NOT NULL,
  at BIGINT NOT NULL,
  actor TEXT NOT NULL,
  job BIGINT,
  PRIMARY KEY (delivery, ask)
);

CREATE TABLE jobs (
  job BIGINT PRIMARY KEY,
  organization BIGINT NOT NULL,
  kind TEXT NOT NULL CHECK (kind = 'retry_failed' OR kind = 'replay_missing' OR kind = 'discard'),
  endpoint BIGINT,
  event_kind TEXT,
  states TEXT NOT NULL,
  from_at BIGINT,
  until_at BIGINT,
  run TEXT CHECK (run = 'single' OR run = 'series'),
  rate BIGINT NOT NULL,
  state TEXT NOT NULL CHECK (state = 'running' OR state = 'done' OR state = 'cancelled'),
  created_at BIGINT NOT NULL,
  actor TEXT NOT NULL,
  ended_at BIGINT,
  -- Until when its rate is used up.
  paced_at BIGINT NOT NULL,
  -- The last key drawn for a page's asks.
  asked BIGINT NOT NULL DEFAULT 0,
  place_1 BIGINT NOT NULL,
  place_2 BIGINT NOT NULL,
  place_3 BIGINT NOT NULL,
  looked BIGINT NOT NULL DEFAULT 0,
  done BIGINT NOT NULL DEFAULT 0,
  endpoint_stopped BIGINT NOT NULL DEFAULT 0,
  endpoint_deleted BIGINT NOT NULL DEFAULT 0,
  moved_on BIGINT NOT NULL DEFAULT 0,
  erased BIGINT NOT NULL DEFAULT 0,
  told_newer BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE feed_epoch (
  only_row BIGINT PRIMARY KEY CHECK (only_row = 1),
  epoch BIGINT NOT NULL
);

CREATE TABLE originals (
  organization BIGINT NOT NULL,
  kind TEXT COLLATE "C" NOT NULL CHECK (kind = 'endpoint' OR kind = 'policy' OR kind = 'consent'),
  blind BYTEA NOT NULL,
  key BIGINT NOT NULL,
  PRIMARY KEY (organization, kind, blind)
);

CREATE TABLE delivery_stretches (
  owner BIGINT NOT NULL,
  first BIGINT NOT NULL,
  last BIGINT NOT NULL,
  PRIMARY KEY (owner, first)
);

CREATE TABLE noted_stretches (
  only_row BIGINT PRIMARY KEY CHECK (only_row = 1),
  through BIGINT NOT NULL
);

CREATE TABLE suppressions (
  suppression BIGINT PRIMARY KEY,
  organization BIGINT NOT NULL,
  blind BYTEA NOT NULL,
  erased_at BIGINT NOT NULL
);

CREATE INDEX api_keys_of ON api_keys (organization);
CREATE INDEX identifiers_by_blind ON identifiers (organization, blind);
-- Of two nodes that meet a person for the first time at once, one comes second and looks again.
CREATE UNIQUE INDEX identifiers_of_one ON identifiers (organization, blind) WHERE kind = 'reference';
CREATE UNIQUE INDEX policies_named ON policies (organization, policy_type, version)
  WHERE deleted_at IS NULL;
CREATE INDEX consents_changing ON consents (next_change_at) WHERE next_change_at IS NOT NULL;
-- What was made up for tests stands in no feed; nothing else enters it.
CREATE INDEX events_made_up ON events (organization, event) WHERE log_index IS NULL;
CREATE INDEX endpoints_of ON endpoints (organization, endpoint);
CREATE INDEX endpoints_changed ON endpoints (changed);
CREATE INDEX endpoint_secrets_of ON endpoint_secrets (endpoint);
-- In the order of their events, so that it grows at its end; no change of a delivery touches it.
CREATE INDEX deliveries_of ON deliveries (event);
CREATE INDEX deliveries_due ON deliveries (due_at, endpoint) WHERE state = 'pending';
CREATE INDEX deliveries_claimed ON deliveries (lease) WHERE state = 'claimed';
CREATE INDEX deliveries_parked ON deliveries (endpoint, due_at, delivery) WHERE state = 'parked';
CREATE INDEX deliveries_held ON deliveries (endpoint, delivery) WHERE state = 'held';
CREATE INDEX deliveries_waiting_for ON deliveries (subject)
  WHERE subject IS NOT NULL AND (state = 'pending' OR state = 'claimed' OR state = 'parked' OR state = 'held');
CREATE INDEX lanes_of ON lanes (subject);
CREATE INDEX idempotency_old ON idempotency (called_at);
CREATE INDEX idempotency_of ON idempotency_about (subject);
CREATE INDEX users_of ON users (organization, user_id);
CREATE INDEX sessions_of ON sessions (user_id, session);
CREATE INDEX deliveries_reasoned ON deliveries (endpoint, state, delivery) WHERE reason IS NOT NULL;
CREATE INDEX jobs_of ON jobs (organization, job);
CREATE INDEX jobs_running ON jobs (job) WHERE state = 'running';
CREATE INDEX purposes_of ON purposes (organization, purpose);
CREATE INDEX organizations_leaving ON organizations (deletes_at) WHERE deletes_at IS NOT NULL AND emptied_at IS NULL;
CREATE UNIQUE INDEX originals_by_key ON originals (key);
CREATE UNIQUE INDEX suppressions_by_blind ON suppressions (organization, blind);

-- What no partition was made for in time.
CREATE TABLE events_default PARTITION OF events DEFAULT;
CREATE TABLE attempts_default PARTITION OF attempts DEFAULT;

-- The feeds: rows are numbered after their commit, by whoever reads the feed next or looks after it, under a lock on the
-- feed's head. So numbers have no gaps, and none is seen before all below it.
CREATE TABLE feed_heads (
  organization BIGINT PRIMARY KEY,
  decisions BIGINT NOT NULL DEFAULT 0,
  events BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE unnumbered_decisions (
  organization BIGINT NOT NULL,
  decision BIGINT NOT NULL,
  PRIMARY KEY (organization, decision)
);
CREATE TABLE unnumbered_events (
  organization BIGINT NOT NULL,
  event BIGINT NOT NULL,
  PRIMARY KEY (organization, event)
);
CREATE TABLE decision_feed (
  organization BIGINT NOT NULL,
  log_index BIGINT NOT NULL,
  decision BIGINT NOT NULL,
  PRIMARY KEY (organization, log_index)
);
CREATE TABLE event_feed (
  organization BIGINT NOT NULL,
  log_index BIGINT NOT NULL,
  event BIGINT NOT NULL,
  PRIMARY KEY (organization, log_index)
);

CREATE TABLE blobs (
  blob BIGINT PRIMARY KEY,
  organization BIGINT NOT NULL,
  subject BIGINT,
  state TEXT NOT NULL CHECK (state = 'open' OR state = 'whole' OR state = 'going'),
  wrapped_key BYTEA,
  created_at BIGINT NOT NULL,
  chunks BIGINT NOT NULL DEFAULT 0,
  length BIGINT,
  sha256 BYTEA,
  expires_at BIGINT,
  sweep_at BIGINT,
  CHECK ((wrapped_key IS NULL) = (state = 'going')),
  CHECK (state != 'whole' OR (length IS NOT NULL AND sha256 IS NOT NULL))
);
CREATE INDEX blobs_of ON blobs (organization, blob);
CREATE INDEX blobs_about ON blobs (subject) WHERE subject IS NOT NULL;
CREATE INDEX blobs_to_sweep ON blobs (sweep_at) WHERE sweep_at IS NOT NULL;

CREATE TABLE blob_holders (
  blob BIGINT NOT NULL,
  holder TEXT COLLATE "C" NOT NULL,
  holder_row BIGINT NOT NULL,
  PRIMARY KEY (blob, holder, holder_row)
);

-- The sealed parts, which lie in files where the database is embedded. None is there without its blob's row. What is sealed
-- cannot be compressed, and the server does not try.
CREATE TABLE blob_chunks (
  blob BIGINT NOT NULL REFERENCES blobs ON DELETE CASCADE,
  place BIGINT NOT NULL,
  sealed BYTEA NOT NULL,
  PRIMARY KEY (blob, place)
);
ALTER TABLE blob_chunks ALTER COLUMN sealed SET STORAGE EXTERNAL;

CREATE TABLE deletion_pauses (
  pause BIGINT PRIMARY KEY,
  until BIGINT NOT NULL
);

-- Installations that were copied here from an embedded database, each told by the epoch of its feeds. Until it is whole no node
-- works on this database. Keys that are drawn here come after `newest_key`, the highest there.
CREATE TABLE copies (
  epoch BIGINT PRIMARY KEY,
  newest_key BIGINT NOT NULL,
  from_folder TEXT NOT NULL,
  begun_at BIGINT NOT NULL,
  finished_at BIGINT
);

-- As statements read the feeds.
CREATE VIEW numbered_decisions AS
  SELECT decision_feed.organization, decision_feed.log_index, decisions.decision, decisions.consent, decisions.subject,
    decisions.policy, decisions.basis, decisions.state, decisions.obtained_at, decisions.recorded_at, decisions.valid_from,
    decisions.valid_until, decisions.previous, decisions.next_candidate, decisions.recorded_by, decisions.sealed,
    decisions.commitment
  FROM decision_feed JOIN decisions ON decisions.decision = decision_feed.decision;
CREATE VIEW numbered_events AS
  SELECT event_feed.organization, event_feed.log_index, events.event, events.kind, events.subject, events.created_at,
    events.render_version, events.batch, events.consent, events.decision, events.version, events.state,
    events.withdrawn_at, events.sealed
  FROM event_feed JOIN events ON events.event = event_feed.event;

INSERT INTO noted_stretches (only_row, through) VALUES (1, 0);
