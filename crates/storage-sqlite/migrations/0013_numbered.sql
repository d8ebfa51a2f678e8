-- The feeds, as statements read them that run on other databases, too: there the numbers stand beside the rows.
CREATE VIEW numbered_decisions AS SELECT * FROM decisions;
CREATE VIEW numbered_events AS SELECT * FROM events;
