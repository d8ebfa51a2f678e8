-- Endpoints that fail for long. What was before `judged_from` is not held against one: it was resumed then, or got another
-- URL. One that failed for half of what its dialect allows has `failing_since` and `stops_at`; one that was stopped for it
-- is paused, and has `stopped_at` in place of the latter.
ALTER TABLE endpoints ADD COLUMN judged_from INTEGER NOT NULL DEFAULT 0;
ALTER TABLE endpoints ADD COLUMN failing_since INTEGER;
ALTER TABLE endpoints ADD COLUMN stops_at INTEGER;
ALTER TABLE endpoints ADD COLUMN stopped_at INTEGER;

-- Of the failed attempts those in which the endpoint had no part: Abide was too busy, or was cut off.
ALTER TABLE counts ADD COLUMN attempts_blameless INTEGER NOT NULL DEFAULT 0;
