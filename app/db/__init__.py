"""The database: every table on one page, the engine, the migrations, and the embedded Postgres."""
