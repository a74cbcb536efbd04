"""Workers as actors on a Ray cluster: `bo-worker ray`. Ray is loaded when the command runs."""
