"""Fixtures that many rooms share."""

from tests.service.mosquitto import absent_broker, mosquitto_broker

__all__ = ["absent_broker", "mosquitto_broker"]
