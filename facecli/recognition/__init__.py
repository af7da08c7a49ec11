"""The use-cases: enroll, verify, identify and cluster. None of them prints or loads a network."""
