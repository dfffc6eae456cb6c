"""The way to the providers: our own HTTP/1.1 client, and the one that plays scripts in process."""
