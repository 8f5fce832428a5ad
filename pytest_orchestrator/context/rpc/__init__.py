"""The Context over a wire: protocol, client, server, token handshake."""
