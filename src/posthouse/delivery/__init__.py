"""Mail on its way: into mailboxes (intake, submission) and out (schedule, runner, bounces)."""
