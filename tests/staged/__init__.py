"""What cannot be waited for is staged: processes that die at a chosen step, replicas, wrong clocks, races by the thousand."""
