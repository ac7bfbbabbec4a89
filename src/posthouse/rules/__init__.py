"""What a user wants done with mail as it arrives: rules as values, their JSON form, their words, the decision."""
