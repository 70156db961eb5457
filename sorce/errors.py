"""What can go wrong, each as one sentence that names the thing and the remedy.

SorceError
 +- ClusterError          the cluster cannot be reached, or refuses
 |   +- UnsupportedVersion
 |   +- IndexMissing
 +- IndexNameError        not a valid name of one index or alias
 +- RecipeMismatch        the index holds vectors of another recipe
 +- OtherRoot             the paths in the index are relative to another folder
 +- ModelError            a model cannot be loaded, or does not fit what is asked of it
 +- BadPhoto              a file that cannot become a document (ingest turns it into a reject)
 +- QueryError            a search that is not possible in this form
 +- GroundTruthError      a benchmark's files cannot be read, or say nothing
 +- EngineError           the local OpenSearch
 +- PluginError           what sorce installs in a cluster
 +- DashboardsError       OpenSearch Dashboards, or what sorce puts there
 +- MissingTool           something beyond Python that a command needs (Maven, Java, Node)
"""


class SorceError(Exception):
    """An error caused by the user or the environment; the message is for the user and needs no traceback."""


class ClusterError(SorceError):
    """The cluster cannot be reached, or refuses what is asked."""


class UnsupportedVersion(ClusterError):
    """This version of OpenSearch answers nested k-NN wrongly or not at all."""


class IndexMissing(ClusterError):
    """There is no such index, or it is not one of sorce's."""


class IndexNameError(SorceError):
    """Not a valid name of one index or alias."""


class RecipeMismatch(SorceError):
    """The index holds vectors of another recipe."""


class OtherRoot(SorceError):
    """The paths in the index are relative to another folder."""


class ModelError(SorceError):
    """A model cannot be loaded, or does not fit what is asked of it."""


class BadPhoto(SorceError):
    """A file that cannot become a document; ingest turns it into a reject."""


class QueryError(SorceError):
    """A search that is not possible in this form."""


class GroundTruthError(SorceError):
    """A benchmark's files cannot be read, are of another form, or say nothing."""


class EngineError(SorceError):
    """The local OpenSearch cannot be started or stopped."""


class PluginError(SorceError):
    """What sorce installs in a cluster is missing, or does not work."""


class DashboardsError(SorceError):
    """OpenSearch Dashboards cannot be reached or refuses, or a saved object breaks its rules."""


class MissingTool(SorceError):
    """Something beyond Python that a command needs is not on this machine."""
