-- What an organization keeps for a time only, in days; without a row, and where null, for ever. Up to
-- `events_removed_through`, a number of its feed, events have gone.
CREATE TABLE retention (
  organization INTEGER PRIMARY KEY,
  deliveries_days INTEGER,
  events_days INTEGER,
  audit_days INTEGER,
  events_removed_through INTEGER NOT NULL DEFAULT 0
) STRICT;
