-- Up to `through` no delivery is made any more by a transaction that reads this row, so that lists may be settled up to there.
CREATE TABLE closed_keys (
  only_row BIGINT PRIMARY KEY CHECK (only_row = 1),
  through BIGINT NOT NULL
);
INSERT INTO closed_keys (only_row, through) VALUES (1, 0);

-- This transaction's place among all that write, in the order in which they began to.
CREATE FUNCTION this_transaction() RETURNS BIGINT LANGUAGE SQL VOLATILE AS
  'SELECT CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT)';
-- Every transaction before that place is over, and what it wrote is seen here.
CREATE FUNCTION first_under_way() RETURNS BIGINT LANGUAGE SQL VOLATILE AS
  'SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT)';
