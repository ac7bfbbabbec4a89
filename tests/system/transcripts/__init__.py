"""What real clients send, scripted: their headers, their queries, their order of commands and their odd habits."""
