"""Applications that do not come with casewise: each confined to processes of its own, and nothing that it answers is believed."""
