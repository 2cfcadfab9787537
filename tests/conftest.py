"""Fixtures that many rooms share."""

from tests.service.mosquitto import absent_broker, mosquitto_broker
from tests.service.running import ear, service

__all__ = ["absent_broker", "ear", "mosquitto_broker", "service"]
