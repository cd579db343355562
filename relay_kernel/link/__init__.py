"""Carriers of bytes between the server and a PC. The only importer of asyncssh."""
