DROP TABLE bus_cursor;
DROP TABLE parked_event;
DROP TABLE inbox;
