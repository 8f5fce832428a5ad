"""Step types of this package that use only the public interface `extending`."""
