// One OpenSearch node in this process, its modules from the class path.
//
//   java -cp CLASSES:HOME/lib/* SearchNode HOME CONFIG
//
// There is no orderly shutdown: the data go with the node.
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.opensearch.common.logging.LogConfigurator;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.index.mapper.MapperExtrasPlugin;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.transport.Netty4Plugin;

public class SearchNode extends Node {
  private SearchNode(Environment environment) {
    super(environment, List.of(Netty4Plugin.class, MapperExtrasPlugin.class), false);
  }

  public static void main(String[] args) throws InterruptedException {
    try {
      LogConfigurator.configureWithoutConfig(Settings.EMPTY);
      var settings = Settings.builder().put("path.home", args[0]).build();
      new SearchNode(
              InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), Path.of(args[1]), () -> "dev"))
          .start();
    } catch (Throwable e) { // the threads of half a node would keep the process
      e.printStackTrace();
      Runtime.getRuntime().halt(1);
    }
    Thread.currentThread().join();
  }
}
