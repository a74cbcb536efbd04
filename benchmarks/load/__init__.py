"""Hundreds of workers at once, each with a trial and a heartbeat, against our server and those of peers."""
