"""What domains ask of a connection that carries their mail: MTA-STS, DANE, TLS reports. Values in, values out."""
