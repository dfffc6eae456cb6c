"""The ledger's tables through time: alembic's folder, packaged with the gateway and run as a ledger is opened."""
