"""A server's BMC, by Redfish (DMTF DSP0266): identity, power, boot, settings."""
