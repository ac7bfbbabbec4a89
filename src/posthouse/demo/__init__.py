"""The server to try: made on the spot, on loopback, with a full mailbox; nothing leaves the machine."""
