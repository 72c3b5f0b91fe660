"""What single chapters have measured: networks trained and asked, one module a chapter."""
