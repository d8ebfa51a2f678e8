-- What each API key may ask for: requests per minute. Keys from before have what is the default.
ALTER TABLE api_keys ADD COLUMN rate_limit INTEGER NOT NULL DEFAULT 1000000 CHECK (rate_limit > 0);
