"""What travels through the gateway: plain frozen values that know no wire format and do nothing."""
