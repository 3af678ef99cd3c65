// One Elasticsearch node in this process. Elastic's own launcher refuses root, which most containers
// run as, and keeps a second JVM beside the server.
//
//   java -cp CLASSES:HOME/lib/* SearchNode HOME CONFIG
//
// There is no orderly shutdown: the data go with the node.
import java.nio.file.Path;
import java.util.Map;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

public class SearchNode {
  public static void main(String[] args) throws InterruptedException {
    var home = Path.of(args[0]);
    try {
      LogConfigurator.configureWithoutConfig(Settings.EMPTY);
      var settings = Settings.builder().put("path.home", home).build();
      var environment =
          InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), Path.of(args[1]), () -> "dev");
      var modules = PluginsLoader.loadModulesBundles(home.resolve("modules"));
      var plugins = PluginsLoader.loadPluginsBundles(home.resolve("plugins"));
      new Node(environment, PluginsLoader.createPluginsLoader(modules, plugins, Map.of(), false)).start();
    } catch (Throwable e) { // the threads of half a node would keep the process
      e.printStackTrace();
      Runtime.getRuntime().halt(1);
    }
    Thread.currentThread().join();
  }
}
