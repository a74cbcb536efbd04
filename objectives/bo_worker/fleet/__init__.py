"""Workers as actors on a Ray cluster: `bo-worker ray`. Ray is imported when the command runs."""
