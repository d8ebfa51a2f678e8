-- Looking through deliveries, their counts, and work over many of them.

-- Held rows and those that ended otherwise than delivered: a row enters it when something stands in its way. What is
-- written hot and then delivered never does.
CREATE INDEX deliveries_reasoned ON deliveries (endpoint, state) WHERE reason IS NOT NULL;

-- How deliveries went, per owner (an endpoint or an organization: no key is used twice) and stretch of time.
-- `*_now` and `last_attempt_at` are what was true at the row's last change, so the newest row has the totals.
CREATE TABLE counts (
  owner INTEGER NOT NULL,
  bucket INTEGER NOT NULL,
  -- Length in milliseconds; buckets are folded into days.
  width INTEGER NOT NULL,
  attempts_successful INTEGER NOT NULL,
  attempts_failed INTEGER NOT NULL,
  successful INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  successful_now INTEGER NOT NULL,
  failed_now INTEGER NOT NULL,
  last_attempt_at INTEGER,
  PRIMARY KEY (owner, bucket)
) STRICT, WITHOUT ROWID;

-- Who asked for another run of a delivery, had it made for an old event, or gave it up. `next_number` is that of the attempt which came next.
CREATE TABLE asks (
  delivery INTEGER NOT NULL,
  ask INTEGER NOT NULL,
  what TEXT NOT NULL CHECK (what = 'single' OR what = 'series' OR what = 'replay' OR what = 'discard'),
  next_number INTEGER NOT NULL,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  job INTEGER,
  PRIMARY KEY (delivery, ask)
) STRICT, WITHOUT ROWID;

-- Work over many deliveries. `place_*` say how far it has come: what they mean is the kind's own matter. Nothing with a
-- key above the job's own is touched.
CREATE TABLE jobs (
  job INTEGER PRIMARY KEY,
  organization INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind = 'retry_failed' OR kind = 'replay_missing' OR kind = 'discard'),
  endpoint INTEGER,
  event_kind TEXT,
  states TEXT NOT NULL,
  from_at INTEGER,
  until_at INTEGER,
  run TEXT CHECK (run = 'single' OR run = 'series'),
  rate INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state = 'running' OR state = 'done' OR state = 'cancelled'),
  created_at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  ended_at INTEGER,
  -- Until when its rate is used up.
  paced_at INTEGER NOT NULL,
  -- The last key drawn for a page's asks.
  asked INTEGER NOT NULL DEFAULT 0,
  place_1 INTEGER NOT NULL,
  place_2 INTEGER NOT NULL,
  place_3 INTEGER NOT NULL,
  looked INTEGER NOT NULL DEFAULT 0,
  done INTEGER NOT NULL DEFAULT 0,
  endpoint_stopped INTEGER NOT NULL DEFAULT 0,
  endpoint_deleted INTEGER NOT NULL DEFAULT 0,
  moved_on INTEGER NOT NULL DEFAULT 0,
  erased INTEGER NOT NULL DEFAULT 0,
  told_newer INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX jobs_of ON jobs (organization, job);
CREATE INDEX jobs_running ON jobs (job) WHERE state = 'running';

-- Since when the receiver has answered that it is gone.
ALTER TABLE endpoints ADD COLUMN gone_at INTEGER;
UPDATE endpoints SET gone_at = updated_at WHERE state = 'gone';
