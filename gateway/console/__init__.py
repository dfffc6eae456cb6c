"""The web console: pages for people, with no logic of their own."""
