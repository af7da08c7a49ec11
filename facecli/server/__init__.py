"""The HTTP service: its interface, its camera page, and the page to review photo groups."""
