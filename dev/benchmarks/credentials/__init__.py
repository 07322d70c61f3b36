"""What speaking for a user costs: per request, per service-token life, per endpoint look-up."""
