"""The server: the page, the interactive sessions, the jobs, and the protocols of the clients that people already use."""
