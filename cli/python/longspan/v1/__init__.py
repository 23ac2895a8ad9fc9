"""Generated from proto/longspan/v1 when the wheel is built."""
