-- What an organization keeps for a time only, in days; without a row, and where null, for ever. Up to
-- `events_removed_through`, a number of its feed, events have gone.
CREATE TABLE retention (
  organization BIGINT PRIMARY KEY,
  deliveries_days BIGINT,
  events_days BIGINT,
  audit_days BIGINT,
  events_removed_through BIGINT NOT NULL DEFAULT 0
);

-- Organizations whose keys were destroyed, for the journal of erasures: `entry` is drawn in one order with that of `erasures`.
CREATE TABLE destroyed (
  entry BIGINT PRIMARY KEY,
  organization BIGINT NOT NULL UNIQUE,
  destroyed_at BIGINT NOT NULL
);
INSERT INTO destroyed (entry, organization, destroyed_at)
  SELECT max(audit.entry), organizations.organization, min(organizations.deleted_at)
  FROM organizations JOIN audit ON audit.organization = organizations.organization AND action = 'organization.destroy_keys'
  WHERE state = 'deleted' GROUP BY organizations.organization;

-- When this database was restored from a backup, and from when that was.
CREATE TABLE restores (
  restore BIGINT PRIMARY KEY,
  taken_at BIGINT NOT NULL,
  restored_at BIGINT NOT NULL
);
