"""Whether the diagnosis of a trial finds planted faults and leaves healthy trainings alone."""
