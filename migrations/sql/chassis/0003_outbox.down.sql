DROP TABLE counter;
DROP TABLE outbox;
