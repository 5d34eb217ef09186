"""The protocols of other people's clients, translated to the server's own sessions and jobs."""
