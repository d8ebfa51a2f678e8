-- Calls that are carried out once: who sent which key, over what request, and what was answered. `key` and `request` are
-- keyed hashes; the answer is sealed, and gone where one of those it is about was erased.

CREATE TABLE idempotency (
  call INTEGER PRIMARY KEY,
  organization INTEGER NOT NULL,
  key BLOB NOT NULL,
  request BLOB NOT NULL,
  called_at INTEGER NOT NULL,
  answer BLOB,
  UNIQUE (organization, key)
) STRICT;
CREATE INDEX idempotency_old ON idempotency (called_at);

CREATE TABLE idempotency_about (
  call INTEGER NOT NULL,
  subject INTEGER NOT NULL,
  PRIMARY KEY (call, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_of ON idempotency_about (subject);
